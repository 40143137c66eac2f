// Where something stands in a definition's file.

/** Position in the definition's file; lines and columns count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}
