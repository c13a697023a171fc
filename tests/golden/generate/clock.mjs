// The clock of this process, which stands still: Date and Date.now answer what they are told.

/** The moment every scenario starts at, in ms since 1970. */
export const T0 = 1_700_000_000_000;

const RealDate = Date;
let now = T0;

class StillDate extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [now] : args));
  }

  static now() {
    return now;
  }
}

/** Before the packages are loaded, so that they never see another clock. */
export function stop() {
  globalThis.Date = StillDate;
}

export const current = () => now;
export const set = (ms) => {
  now = ms;
};
