/** What a merge cannot keep. `path` is that of the value in question. */
export class MergeFault extends Error {
  readonly path: readonly string[];
  readonly rule: string;

  constructor(path: readonly string[], rule: string, detail: string) {
    super(detail);
    this.path = path;
    this.rule = rule;
  }
}
