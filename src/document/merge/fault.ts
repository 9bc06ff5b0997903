/** The reason why two files cannot be merged. `path` leads to the affected value. */
export class MergeFault extends Error {
  readonly path: readonly string[];
  readonly rule: string;

  constructor(path: readonly string[], rule: string, detail: string) {
    super(detail);
    this.path = path;
    this.rule = rule;
  }
}
