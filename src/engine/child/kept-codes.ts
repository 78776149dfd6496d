/**
 * Codes as they are chosen, in a folder until the file that they are for is whole: what was killed goes on with what is
 * missing. A file is a choice for a tensor, or codes of some rows; its name tells what they depend on, beside the inputs.
 */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { makeFolder } from "../../disk/aside-file.ts";
import { type CacheBudget, createCacheBudget } from "../../disk/cache-budget.ts";
import { cacheKey } from "../../disk/cache-key.ts";
import { readSealed, writeSealed } from "../../disk/sealed-file.ts";
import type { ChosenCodes, CodedTensor, CodesFolder } from "../engine.ts";

const CHOICE = ".choice";

export class KeptCodes {
  readonly #folder: string;
  readonly #budget: CacheBudget;
  readonly #note: (text: string) => void;
  #isKept = true;

  constructor({ path, limitBytes }: CodesFolder, note: (text: string) => void) {
    this.#folder = path;
    this.#budget = createCacheBudget(dirname(path), limitBytes);
    this.#note = note;
  }

  /** Say what is there. */
  async begin(): Promise<void> {
    const choices = (await readdir(this.#folder).catch(() => [])).filter((name) => name.endsWith(CHOICE));
    if (choices.length > 0) this.#note(`going on with the codes of ${choices.length} tensors that were chosen before`);
  }

  /** What was chosen for a tensor in the place of codes of which these are some rows. */
  async choice(tensor: CodedTensor, stock: Uint8Array): Promise<ChosenCodes | undefined> {
    const found = await this.#read(choiceName(tensor, stock));
    return found === undefined ? undefined : (JSON.parse(found.toString("utf8")) as ChosenCodes);
  }

  async keepChoice(tensor: CodedTensor, stock: Uint8Array, choice: ChosenCodes): Promise<void> {
    await this.#write(choiceName(tensor, stock), Buffer.from(JSON.stringify(choice)));
  }

  /** Codes of the rows from `first` on. */
  codes(tensor: CodedTensor, shrinkage: number, first: number): Promise<Uint8Array | undefined> {
    return this.#read(codesName(tensor, shrinkage, first));
  }

  keepCodes(tensor: CodedTensor, shrinkage: number, first: number, packed: Uint8Array): Promise<void> {
    return this.#write(codesName(tensor, shrinkage, first), packed);
  }

  #read(name: string): Promise<Buffer | undefined> {
    return readSealed(join(this.#folder, name), this.#note);
  }

  async #write(name: string, content: Uint8Array): Promise<void> {
    if (!this.#isKept) return;
    try {
      await makeFolder(this.#folder);
      await this.#budget.makeRoom(content.length);
      await writeSealed(join(this.#folder, name), content);
    } catch (error) {
      // a full disk is no reason to stop
      this.#isKept = false;
      this.#note(`! codes are not kept, an interruption would begin with the rest anew: ${(error as Error).message}`);
    }
  }
}

function choiceName(tensor: CodedTensor, stock: Uint8Array): string {
  return cacheKey([...partsOf(tensor), createHash("sha256").update(stock).digest("hex")]) + CHOICE;
}

function codesName(tensor: CodedTensor, shrinkage: number, first: number): string {
  return `${cacheKey([...partsOf(tensor), shrinkage, first])}.codes`;
}

function partsOf({ name, expert = 0, type, sourceType, columns, rows }: CodedTensor): (string | number)[] {
  return [name, expert, type, sourceType, columns, rows];
}
