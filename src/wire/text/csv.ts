/** A field as RFC 4180 has it. Spreadsheets run text that begins like a formula, and users choose names: such a field gets an apostrophe in front. */
export function csvField(text: string): string {
  const harmless = /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** The text of a field without the apostrophe that `csvField` put in front. */
export function withoutGuard(field: string): string {
  return /^'+[=+\-@\t\r]/.test(field) ? field.slice(1) : field;
}
