// The runtime of a process sandbox for Node.js: AWS's public client, which is elsewhere.
//
// It is run as a plain script without arguments, because wrappers (AWS_LAMBDA_EXEC_WRAPPER) expect a command line as
// on AWS: an interpreter, and a script as the last word of it. The client's own command line would write into the log.
import { pathToFileURL } from "node:url";

const place = process.env.LAMBDA_FREEZER_CLIENT;
delete process.env.LAMBDA_FREEZER_CLIENT; // before any other code is run

const client = await import(pathToFileURL(place));
// Since version 4 of the client it runs when it is imported.
if (client.run !== undefined) {
  await client.run(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);
}
