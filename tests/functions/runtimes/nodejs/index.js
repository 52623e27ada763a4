// Does what the event says, for the tests of runtimes.
let count = 0;

const actions = {
  count: () => ({ count: ++count }),
  fail: () => {
    throw new RangeError("not today");
  },
  exit: () => process.exit(3),
  sleep: () => new Promise((resolve) => setTimeout(resolve, 20_000)),
  variables: () => ({ ...process.env }),
  say: (event) => console.log(event.text),
  load: (event) => require(event.module),
};

exports.handler = async (event) => actions[event.do](event);

exports.stream = awslambda.streamifyResponse(async (event, response) => {
  response.setContentType("text/plain");
  for (const piece of event.pieces) {
    response.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (event.fail) {
    throw new RangeError("not to the end");
  }
  response.end();
});
