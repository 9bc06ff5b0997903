import { Button, Code, Flex } from '@radix-ui/themes';
import { Check, Copy } from 'lucide-react';
import { useState } from 'react';

/** A text to take elsewhere: an address, or a secret that is shown once. */
export function CopyText({ text, label }: { text: string; label: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
  };
  return (
    <Flex gap="2" align="start">
      <Code
        size="2"
        variant="soft"
        color="gray"
        aria-label={label}
        style={{ overflowWrap: 'anywhere', flex: 1, minWidth: 0, padding: '5px 8px' }}
      >
        {text}
      </Code>
      <Button type="button" variant="soft" onClick={() => void copy()} aria-label={`Copy ${label}`}>
        {isCopied ? <Check size={14} aria-hidden /> : <Copy size={14} aria-hidden />} {isCopied ? 'Copied' : 'Copy'}
      </Button>
    </Flex>
  );
}
