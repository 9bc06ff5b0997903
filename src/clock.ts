/** The only source of "now" outside the database: loops and deciders take one, tests drive it. */
export type Clock = { now(): Date };

export const systemClock: Clock = { now: () => new Date() };
