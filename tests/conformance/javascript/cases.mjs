// AWS's client library for JavaScript against a running emulator: every case once, in order; what each saw, as JSON.
//
//   node cases.mjs FOLDER ENDPOINT FUNCTIONS
//
// FOLDER has the library in its node_modules; FUNCTIONS are the names of the functions that are there, as JSON.

import diagnostics from "node:diagnostics_channel";
import { createRequire } from "node:module";
import net from "node:net";
import { join } from "node:path";

const [folder, endpoint, names] = process.argv.slice(2);
const functions = JSON.parse(names);
const sdk = createRequire(join(folder, "package.json"))("@aws-sdk/client-lambda");
const { InvokeCommand, InvokeWithResponseStreamCommand, LambdaClient } = sdk;

const GATE_PORT = 8070;
const decoder = new TextDecoder();
const client = new LambdaClient({ endpoint });
const impatient = new LambdaClient({ endpoint, maxAttempts: 1 });
const cases = {};

let sockets = 0;
diagnostics.channel("net.client.socket").subscribe(() => sockets++);

// -- what the cases share --------------------------------------------------------------------------------------

const text = (bytes) => (bytes ? decoder.decode(bytes) : null); // of an answer without a body the library makes null
const base64 = (string) => Buffer.from(string).toString("base64");

/** An answer without what is the library's own. */
function plain({ $metadata, Payload, LogResult, ...members }) {
  return {
    ...members,
    status: $metadata.httpStatusCode,
    requestId: $metadata.requestId,
    attempts: $metadata.attempts,
    payload: text(Payload),
    log: LogResult === undefined ? null : Buffer.from(LogResult, "base64").toString(),
  };
}

async function invoke(event, options = {}, by = client) {
  const command = { FunctionName: functions.anything, Payload: JSON.stringify(event), ...options };
  return plain(await by.send(new InvokeCommand(command)));
}

/** What was thrown instead of an answer, with the most special class of the library that it belongs to. */
async function thrown(promise) {
  try {
    return { answered: await promise };
  } catch (error) {
    const classes = ["ResourceNotFoundException", "TooManyRequestsException", "RequestTooLargeException"];
    classes.push("InvalidRequestContentException", "InvalidParameterValueException", "LambdaServiceException");
    return {
      class: classes.find((name) => error instanceof sdk[name]) ?? null,
      name: error.name,
      message: error.message,
      reason: error.Reason ?? null,
      type: error.Type ?? null,
      status: error.$metadata?.httpStatusCode ?? null,
      attempts: error.$metadata?.attempts ?? null,
    };
  }
}

/** Begin a stream, when the function is at rest: in the middle of an invocation another environment would serve it. */
async function stream(steps, options = {}, sending = {}) {
  if (options.FunctionName === undefined) await inState(functions.streaming, "frozen");
  const command = { FunctionName: functions.streaming, Payload: JSON.stringify(steps), ...options };
  return client.send(new InvokeWithResponseStreamCommand(command), sending);
}

/** A whole stream: the members of the answer, its pieces put together, and how it says that it went. */
async function whole(answer) {
  const { $metadata, EventStream, ...members } = answer;
  const pieces = [];
  const completions = [];
  for await (const event of EventStream) {
    if (event.PayloadChunk) pieces.push(Buffer.from(event.PayloadChunk.Payload));
    if (event.InvokeComplete) completions.push(event.InvokeComplete);
  }
  return { ...members, status: $metadata.httpStatusCode, payload: Buffer.concat(pieces).toString(), completions };
}

async function environmentsOf(name) {
  const answer = await fetch(`${endpoint}/_emulator/api/environments?function=${name}`);
  return (await answer.json()).environments;
}

/** The one environment of a function, as soon as it is in this state. */
async function inState(name, state) {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const found = await environmentsOf(name);
    if (found.length === 1 && found[0].state === state) return found[0];
    if (Date.now() > deadline) throw new Error(`${name} never became ${state}: ${JSON.stringify(found)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Let a function go on that waits at its gate; it may not have come there yet. */
async function openGate(name) {
  const { sandbox } = await inState(name, "invoking");
  const knock = () =>
    new Promise((resolve) => {
      const socket = net.connect(GATE_PORT, sandbox.address);
      socket.on("connect", () => resolve(socket.destroy()));
      socket.on("error", () => setTimeout(() => resolve(knock()), 5));
    });
  await knock();
}

// -- Invoke ----------------------------------------------------------------------------------------------------

cases.requestResponse = () => invoke({ do: "echo", text: "✓" });
cases.describe = () =>
  invoke({ do: "describe" }, { ClientContext: base64(JSON.stringify({ custom: { colour: "blue" } })) });
cases.tail = () => invoke({ do: "say", lines: ["hello"] }, { LogType: "Tail" });
cases.functionError = () => invoke({ do: "fail", message: "no" });
cases.latest = () => invoke({ do: "echo" }, { Qualifier: "$LATEST" });
cases.arn = () =>
  invoke({ do: "echo" }, { FunctionName: `arn:aws:lambda:us-east-1:123456789012:function:${functions.anything}` });
cases.event = () => invoke({ do: "count" }, { InvocationType: "Event" });
cases.dryRun = () => invoke({ do: "count" }, { InvocationType: "DryRun" });
cases.large = async () => {
  const answer = await invoke({ do: "echo", text: "x".repeat(5_000_000) });
  return { status: answer.status, length: answer.payload.length };
};

cases.unknown = () => thrown(invoke({}, { FunctionName: "nobody" }));
cases.qualifier = () => thrown(invoke({}, { Qualifier: "7" }));
cases.noJson = () => thrown(invoke({}, { Payload: "{'single': 1}" }));
cases.tooLarge = () => thrown(invoke("x".repeat(6 * 2 ** 20)));
cases.eventTooLarge = () => thrown(invoke("x".repeat(2 ** 20), { InvocationType: "Event" }));
cases.throttled = () => thrown(invoke({}, { FunctionName: functions.off }, impatient));

/** The one place is taken at the first attempt, and free before the second. */
cases.triedAgain = async () => {
  const name = functions.single;
  const first = client.send(
    new InvokeCommand({ FunctionName: name, Payload: JSON.stringify([["gate"], ["write", "first"]]) }),
  );
  await inState(name, "invoking");
  const patient = new LambdaClient({ endpoint });
  let refusals = 0;
  patient.middlewareStack.add(
    (next) => async (call) => {
      try {
        return await next(call);
      } catch (error) {
        refusals++;
        if (refusals === 1) {
          await openGate(name);
          await first;
          await inState(name, "frozen");
        }
        throw error;
      }
    },
    { step: "deserialize", priority: "high" },
  );
  const second = await invoke([["write", "second"]], { FunctionName: name }, patient);
  patient.destroy();
  return { first: plain(await first), second, refusals };
};

// -- InvokeWithResponseStream ----------------------------------------------------------------------------------

cases.piecewise = async () => {
  const answer = await stream([["write", "one"], ["gate"], ["write", "two"]]);
  const events = answer.EventStream[Symbol.asyncIterator]();
  const first = text((await events.next()).value.PayloadChunk.Payload);
  const { state } = await inState(functions.streaming, "invoking"); // it is not over, and the first piece is here
  await openGate(functions.streaming);
  const second = text((await events.next()).value.PayloadChunk.Payload);
  const completion = (await events.next()).value.InvokeComplete;
  return { first, state, second, completion, done: (await events.next()).done };
};
cases.streamed = async () =>
  whole(await stream([["write", "one "], ["write", "✓"]], { LogType: "Tail", Qualifier: "$LATEST" }));
cases.longStream = async () => {
  const { payload, completions } = await whole(await stream([["fill", 8 * 2 ** 20]]));
  return { length: payload.length, completions };
};
cases.errorInTheMiddle = async () =>
  whole(await stream([["write", "begun"], ["trailers", "Function.Broken", { errorMessage: "in the middle" }]]));
cases.exitInTheMiddle = async () => {
  const saw = whole(await stream([["write", "begun"], ["gate"], ["exit", 3]])); // its first piece has begun the stream
  await openGate(functions.streaming);
  return saw;
};
cases.streamUnknown = () => thrown(stream([], { FunctionName: "nobody" }));
cases.streamThrottled = () =>
  thrown(impatient.send(new InvokeWithResponseStreamCommand({ FunctionName: functions.off, Payload: "{}" })));

// -- connections -----------------------------------------------------------------------------------------------

cases.keptAlive = async () => {
  const fresh = new LambdaClient({ endpoint });
  const before = sockets;
  for (let number = 0; number < 20; number++) await invoke({ do: "echo", number }, {}, fresh);
  const oneByOne = sockets - before;
  const numbers = [0, 1, 2, 3, 4, 5];
  const atOnce = () => Promise.all(numbers.map((number) => invoke({ do: "echo", number }, {}, fresh)));
  const answers = [...(await atOnce()), ...(await atOnce())];
  const together = sockets - before;
  fresh.destroy();
  return { oneByOne, together, numbers: answers.map((answer) => JSON.parse(answer.payload).number) };
};

/** `Expect: 100-continue`, as the library sends it with the bodies of other services. */
cases.expect = async () => {
  const asking = new LambdaClient({ endpoint });
  asking.middlewareStack.add(
    (next) => (call) => {
      call.request.headers.Expect = "100-continue";
      return next(call);
    },
    { step: "finalizeRequest" },
  );
  const begin = Date.now();
  const answer = await invoke({ do: "echo", text: "asked" }, {}, asking);
  asking.destroy();
  return { ...answer, milliseconds: Date.now() - begin };
};

/** A body without a length, in chunks. */
cases.chunked = async () => {
  const chunking = new LambdaClient({ endpoint });
  chunking.middlewareStack.add(
    (next) => (call) => {
      delete call.request.headers["content-length"];
      call.request.headers["transfer-encoding"] = "chunked";
      return next(call);
    },
    { step: "finalizeRequest" },
  );
  const answer = await invoke({ do: "echo", text: "chunked" }, {}, chunking);
  chunking.destroy();
  return answer;
};

cases.aborted = async () => {
  const name = functions.streaming;
  await inState(name, "frozen");
  const before = (await environmentsOf(name))[0];
  const controller = new AbortController();
  const command = { FunctionName: name, Payload: JSON.stringify([["gate"], ["write", "to nobody"]]) };
  const sent = client.send(new InvokeCommand(command), { abortSignal: controller.signal });
  const error = thrown(sent);
  await inState(name, "invoking");
  controller.abort();
  const told = await error;
  await openGate(name);
  const after = await inState(name, "frozen");
  const sameEnvironment = before.id === after.id;
  const next = await invoke([["write", "next"]], { FunctionName: name });
  return { name: told.name, sameEnvironment, served: after.invocations - before.invocations, next: next.payload };
};

cases.abortedStream = async () => {
  const name = functions.streaming;
  await inState(name, "frozen");
  const controller = new AbortController();
  const steps = [["write", "begun"], ["gate"], ["fill", 8 * 2 ** 20]];
  const answer = await stream(steps, {}, { abortSignal: controller.signal });
  const events = answer.EventStream[Symbol.asyncIterator]();
  const first = text((await events.next()).value.PayloadChunk.Payload);
  controller.abort();
  await events.return?.();
  client.destroy(); // its connections end with what was not read; the next request makes new ones
  await openGate(name);
  await inState(name, "frozen");
  return { first, next: (await invoke([["write", "next"]], { FunctionName: name })).payload };
};

/** It gives up while it sends. */
cases.abortedBody = async () => {
  const controller = new AbortController();
  const command = { FunctionName: functions.anything, Payload: JSON.stringify("x".repeat(6 * 2 ** 20 - 2)) };
  const error = thrown(impatient.send(new InvokeCommand(command), { abortSignal: controller.signal }));
  setImmediate(() => controller.abort());
  return { name: (await error).name, next: (await invoke({ do: "echo" })).payload };
};

// -- all of them -----------------------------------------------------------------------------------------------

const seen = {};
await invoke("count", { FunctionName: functions.streaming }); // so that there is its one environment
for (const [name, act] of Object.entries(cases)) {
  const begin = Date.now();
  try {
    seen[name] = { saw: await act() };
  } catch (error) {
    seen[name] = { broke: error.stack };
  }
  seen[name].took = Date.now() - begin;
}
client.destroy();
impatient.destroy();
console.log(JSON.stringify(seen));
