// Colours, and when to use them: NO_COLOR, CLICOLOR_FORCE, TERM and whether the stream is a terminal.
// https://no-color.org and https://bixense.com/clicolors. It never writes.

type Paint = (text: string) => string;

export interface Style {
  /** Whether escape codes are used at all. */
  readonly colour: boolean;
  readonly bold: Paint;
  readonly dim: Paint;
  readonly red: Paint;
  readonly green: Paint;
  readonly yellow: Paint;
  readonly cyan: Paint;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether a stream gets colours. */
export function wantsColour(env: Environment, isTerminal: boolean): boolean {
  if (isSet(env["NO_COLOR"])) return false;
  if (isSet(env["CLICOLOR_FORCE"]) && env["CLICOLOR_FORCE"] !== "0") return true;
  return isTerminal && env["TERM"] !== "dumb" && env["CLICOLOR"] !== "0";
}

/** Paints with the terminal's own palette, so that people's themes hold. */
export function makeStyle(colour: boolean): Style {
  const paint = (open: number, close: number): Paint =>
    colour ? (text) => (text === "" ? "" : `\u001b[${open}m${text}\u001b[${close}m`) : (text) => text;
  return {
    colour,
    bold: paint(1, 22),
    dim: paint(2, 22),
    red: paint(31, 39),
    green: paint(32, 39),
    yellow: paint(33, 39),
    cyan: paint(36, 39),
  };
}

/** No escape codes at all. */
export const PLAIN_STYLE: Style = makeStyle(false);

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== "";
}
