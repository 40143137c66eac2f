// The shell that runs a task's script on base `host`: bash with `-e -o pipefail` where there is one, else `sh -e`.

let known: readonly string[] | null = null;

/** The shell and its options, without the script. Looked up once. */
export function shellOf(): readonly string[] {
  known ??=
    Bun.which("bash", { PATH: "/usr/local/bin:/usr/bin:/bin" }) === null
      ? ["sh", "-e"]
      : ["bash", "-e", "-o", "pipefail"];
  return known;
}
