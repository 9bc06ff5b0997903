import { storableText } from '../wire/text.ts';
import type { MergeRequestHint, ParsedHook, RefChange } from './webhook/provider.ts';

/** A parsed hook whose texts can be stored: whoever may sign hooks chooses them. */
export function storableHook(hook: ParsedHook): ParsedHook {
  const deliveryId = storableText(hook.deliveryId);
  if (hook.kind !== 'poke') return { ...hook, deliveryId };
  const { alsoRefs, pusher } = hook;
  return {
    ...hook,
    ...storableChange(hook),
    deliveryId,
    ...(alsoRefs === undefined ? {} : { alsoRefs: alsoRefs.map(storableChange) }),
    ...(pusher === undefined ? {} : { pusher: storableText(pusher) }),
  };
}

function storableChange(change: RefChange): RefChange {
  const { event, ref, before, after, mergeRequest } = change;
  return {
    event,
    ref: storableText(ref),
    before,
    after,
    ...(mergeRequest === undefined ? {} : { mergeRequest: storableMergeRequest(mergeRequest) }),
  };
}

function storableMergeRequest({ title, url, target, ...rest }: MergeRequestHint): MergeRequestHint {
  const clean = (text: string | null) => (text === null ? null : storableText(text));
  return { ...rest, target: storableText(target), title: clean(title), url: clean(url) };
}
