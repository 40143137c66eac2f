// A store, and a folder of files beside it to take content from; both go with their scope.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Store } from "../../../src/store/io/store.ts";
import { TemporaryDirectory, writeFiles } from "../support.ts";

export class SourceFixture implements Disposable {
  readonly directory = new TemporaryDirectory();
  readonly store = Store.open(`${this.directory.path}/home`);
  readonly source = `${this.directory.path}/source`;

  constructor(files: Readonly<Record<string, string>>) {
    mkdirSync(this.source);
    writeFiles(this.source, files);
  }

  take(...names: readonly string[]) {
    return this.store.fromFiles(
      names.map((path) => ({ source: join(this.source, path), path })),
      { scope: this.source },
    );
  }

  [Symbol.dispose](): void {
    this.store[Symbol.dispose]();
    this.directory[Symbol.dispose]();
  }
}
