/** Whether a number is a multiple of another one as both are written in decimal: 19.99 is one of 0.01, though not in binary. */
export function isMultiple(value: number | bigint, divisor: number | bigint): boolean {
  if (isEndless(value) || isEndless(divisor)) return false;
  if (isSmall(value) && isSmall(divisor)) return value % divisor === 0;
  const a = decimalOf(value);
  const b = decimalOf(divisor);
  const exponent = Math.min(a.exponent, b.exponent);
  return scaled(a, exponent) % scaled(b, exponent) === 0n;
}

function isEndless(value: number | bigint): boolean {
  return typeof value === 'number' && !Number.isFinite(value);
}

function isSmall(value: number | bigint): value is number {
  return Number.isSafeInteger(value);
}

type Decimal = { digits: bigint; exponent: number };

/** The shortest decimal that stands for the number, which is what its author wrote. Exponents stay between -340 and 310. */
function decimalOf(value: number | bigint): Decimal {
  if (typeof value === 'bigint') return { digits: value, exponent: 0 };
  const [mantissa = '', exponent = '0'] = String(value).split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  return { digits: BigInt(whole + fraction), exponent: Number(exponent) - fraction.length };
}

function scaled({ digits, exponent }: Decimal, to: number): bigint {
  return digits * 10n ** BigInt(exponent - to);
}
