// The buttons: what a person does to the emulator, and what came of it, in a sentence.

import { send } from "./stream.js";
import { plural, short, span } from "./words.js";

const MOST_SHOWN = 400; // characters of an answer

export class Actions {
  constructor(page, { onDone }) {
    const find = (id) => page.querySelector(id);
    Object.assign(this, { onDone, chosen: null });
    this.name = find("#function");
    this.payload = find("#payload");
    this.times = find("#times");
    this.reclaim = find("#reclaim");
    this.outcome = find("#outcome");
    this.form = find("#actions");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.invoke();
    });
    find("#burst").addEventListener("click", () => this.#burst());
    find("#recycle").addEventListener("click", () => this.#recycle());
    find("#kill").addEventListener("click", () => this.#kill());
    for (const button of page.querySelectorAll("[data-skip]")) {
      button.addEventListener("click", () => this.#skip(Number(button.dataset.skip)));
    }
    find("#recycle-one").addEventListener("click", () => this.#recycle(this.chosen));
  }

  /** The functions that there are. */
  offer(names) {
    const known = [...this.name.options].map((option) => option.value);
    if (known.join("\n") === names.join("\n")) return;
    const chosen = this.name.value;
    this.name.replaceChildren(
      ...names.map((name) => {
        const option = document.createElement("option");
        option.value = option.textContent = name;
        return option;
      }),
    );
    if (names.includes(chosen)) this.name.value = chosen;
    for (const button of this.form.querySelectorAll("button, input, select")) {
      if (!button.dataset.skip) button.disabled = !names.length;
    }
  }

  /** What came of something in another run is no news any more. */
  clear() {
    this.outcome.hidden = true;
  }

  async invoke() {
    const name = this.name.value;
    const body = this.#body();
    if (body === null) return;
    await this.#during(`${name} runs`, async () => {
      const begin = performance.now();
      const path = `/2015-03-31/functions/${encodeURIComponent(name)}/invocations`;
      const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body });
      const text = await answer.text();
      const took = span((performance.now() - begin) / 1000);
      if (!answer.ok) throw new Error(refusal(text, answer.status));
      const failed = answer.headers.get("x-amz-function-error");
      return [failed ? `${name} failed after ${took}` : `${name} answered in ${took}`, text, Boolean(failed)];
    });
  }

  #body() {
    const text = this.payload.value.trim() || "{}";
    try {
      JSON.parse(text);
      this.payload.ariaInvalid = "false";
      return text;
    } catch (error) {
      this.payload.ariaInvalid = "true";
      this.payload.focus();
      this.#tell(`The payload is not JSON: ${error.message}`, "", true);
      return null;
    }
  }

  async #burst() {
    const name = this.name.value;
    const body = this.#body();
    const count = this.times.valueAsNumber;
    if (body === null) return;
    if (!this.times.reportValidity()) return;
    await this.#during(`${name} runs ${count} times at once`, async () => {
      const path = `functions/${encodeURIComponent(name)}/burst`;
      const { answered, failed, refused, seconds, first_refusal: why } = await send("POST", path, {
        count,
        payload: JSON.parse(body),
      });
      const parts = [`${answered} answered`];
      if (failed) parts.push(`${failed} failed`);
      if (refused) parts.push(`${refused} refused (${why})`);
      return [`${name}, ${count} at once: ${parts.join(", ")} in ${span(seconds)}`, "", failed + refused > 0];
    });
  }

  async #recycle(environment = null) {
    const name = this.name.value;
    const who = environment ? `environment ${short(environment.id)}` : name;
    await this.#during(`${who} is recycled`, async () => {
      const path = environment ? `environments/${environment.id}` : `functions/${encodeURIComponent(name)}`;
      const reclaim = this.reclaim.value || null;
      const { recycled, when_parked: later } = await send("POST", `${path}/recycle`, { reclaim });
      const parts = [`${plural(recycled.length, "environment")} recycled`];
      if (later.length) parts.push(`${later.length} when their invocation is over`);
      return [`${who}: ${parts.join(", ")}`];
    });
  }

  async #kill() {
    await this.#during("The server ends zombies", async () => {
      const { killed } = await send("POST", "zombies/kill");
      return [`${plural(killed.length, "zombie")} ended by the server`];
    });
  }

  async #skip(seconds) {
    await this.#during(`${span(seconds)} go by`, async () => {
      const { caused } = await send("POST", "fast-forward", { seconds });
      const what = caused.length ? `it caused ${plural(caused.length, "event")}` : "nothing was due in it";
      return [`${span(seconds)} skipped: ${what}`];
    });
  }

  async #during(saying, work) {
    this.#tell(`${saying} …`);
    try {
      this.#tell(...(await work()));
    } catch (error) {
      // A browser gives up all its requests when the machine gets another network, as with each container.
      const brokeOff = "The emulator does not answer, or the connection broke off; the timeline tells what came of it.";
      this.#tell(error instanceof TypeError ? brokeOff : error.message, "", true);
    }
    this.onDone();
  }

  #tell(sentence, answer = "", bad = false) {
    const [told, shown] = this.outcome.children;
    this.outcome.hidden = false;
    this.outcome.classList.toggle("bad", bad);
    told.textContent = sentence;
    shown.textContent = answer.length > MOST_SHOWN ? `${answer.slice(0, MOST_SHOWN)} …` : answer;
    shown.hidden = !answer;
  }
}

function refusal(text, status) {
  try {
    const told = JSON.parse(text);
    return told.Message ?? told.message ?? told.error ?? text;
  } catch {
    return text || `status ${status}`;
  }
}
