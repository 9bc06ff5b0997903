import { z } from 'zod';

/** From harmless to bad. `warning`: a person should check it; `error`: a wanted change did not happen. */
export const SEVERITIES = ['info', 'warning', 'error'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** Data and not a function: the database selects events by severity, so the rule must translate to SQL. */
export type SeverityRule = Severity | { otherwise: Severity; field: string; raised: Readonly<Partial<Record<string, Severity>>> };

/**
 * One type of event. `sentence` follows the name of the subject; `{field}` stands for the text of a field of the data.
 * `shows`: the event changes the shown status of its subject, or of the devices in `data.deviceIds`.
 */
export type EventKind<Data extends z.ZodObject = z.ZodObject> = {
  severity: SeverityRule;
  sentence: string;
  data: Data;
  shows?: 'subject' | 'deviceIds';
};

/** The names between braces. They let the compiler refuse a sentence with a field that its data lack. */
type Placeholder<Text extends string> = Text extends `${string}{${infer Field}}${infer Rest}` ? Field | Placeholder<Rest> : never;

type RuleOf<Shape extends z.ZodRawShape> =
  | Severity
  | {
      [Field in keyof Shape & string]: {
        otherwise: Severity;
        field: Field;
        raised: Readonly<Partial<Record<z.output<Shape[Field]> & string, Severity>>>;
      };
    }[keyof Shape & string];

export function kind<Shape extends z.ZodRawShape, const Text extends string>(
  severity: RuleOf<NoInfer<Shape>>,
  sentence: Placeholder<Text> extends keyof Shape ? Text : `no field {${Exclude<Placeholder<Text>, keyof Shape>}}`,
  shape: Shape,
  shows?: 'subject' | 'deviceIds',
): EventKind<z.ZodObject<Shape>> {
  return { severity, sentence, data: z.object(shape), ...(shows && { shows }) };
}
