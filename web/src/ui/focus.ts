import { useRef } from 'react';

/**
 * For a dialog that no button of its own opens: when it closes, the keyboard goes on where it was. Without this, Radix leaves the focus on nothing.
 * @returns what the dialog's content calls on its end
 */
export function useReturnFocus(open: boolean): (event: Event) => void {
  const wasOpen = useRef(false);
  const before = useRef<Element | null>(null);
  if (open && !wasOpen.current) before.current = document.activeElement;
  wasOpen.current = open;
  return (event) => {
    event.preventDefault();
    const element = before.current;
    const isThere = element instanceof HTMLElement && element.isConnected && element !== document.body;
    (isThere ? element : document.getElementById('content'))?.focus({ preventScroll: true });
  };
}
