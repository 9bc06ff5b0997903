import type { Json } from '../../../../wire/text/json.ts';
import type { VendorApi } from '../../../api.ts';
import { isFields, pathOf } from '../answers.ts';
import { recordOf } from '../commands.ts';
import type { FeatureControl, Settings } from './document.ts';

/** Sends complete lists; the platform refuses empty ones. @returns references of the commands that it made of them, by channel */
export async function sendSettings(
  api: VendorApi,
  externalId: string,
  { featureControls, extraVariables }: Settings,
  signal: AbortSignal,
): Promise<Record<string, string>> {
  const commands: Record<string, string> = {};
  if (featureControls.length > 0) {
    const path = pathOf`/devices/${externalId}/featureControls`;
    const answer = await api.send({ doing: 'send the feature controls', method: 'PUT', path, body: bodyOf(featureControls), signal });
    Object.assign(commands, madeOf('featureControls', answer.body));
  }
  if (Object.keys(extraVariables).length > 0) {
    const path = pathOf`/devices/${externalId}/extraVariables`;
    const answer = await api.send({ doing: 'send the variables', method: 'PUT', path, body: { extraVariables }, signal });
    Object.assign(commands, madeOf('extraVariables', answer.body));
  }
  return commands;
}

function bodyOf(controls: readonly FeatureControl[]): Json[] {
  return controls.map(({ feature, booleanValue, numberValue }): Json => {
    if (booleanValue !== undefined) return { feature, booleanValue };
    return { feature, numberValue: numberValue ?? 0 };
  });
}

/** The reference of the command that an answer names. */
function madeOf(channel: string, answer: Json | undefined): Record<string, string> {
  const record = isFields(answer) ? recordOf(answer) : undefined;
  return record?.type === undefined ? {} : { [channel]: `${record.type}:${record.id}` };
}
