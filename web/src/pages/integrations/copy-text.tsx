import { Flex, IconButton, Text } from '@radix-ui/themes';
import { Check, Copy } from 'lucide-react';
import { useState } from 'react';

/** A text to be taken elsewhere. */
export function CopyText({ label, text }: { label: string; text: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = () => void navigator.clipboard.writeText(text).then(() => setCopied(true));
  return (
    <div className="field">
      <Text size="2" weight="medium">
        {label}
      </Text>
      <Flex gap="2" align="center" minWidth="0">
        <code className="mono copy-text">{text}</code>
        <IconButton
          variant="ghost"
          color="gray"
          size="1"
          aria-label={isCopied ? `${label} copied` : `Copy ${label.toLowerCase()}`}
          onClick={copy}
        >
          {isCopied ? <Check size={14} /> : <Copy size={14} />}
        </IconButton>
      </Flex>
    </div>
  );
}
