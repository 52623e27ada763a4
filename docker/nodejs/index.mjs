// Serve the handler named by _HANDLER with AWS's public runtime client, as the script of AWS's own image does.
// The client's command line does the same, but for a line of its own in the function's log.
import { run } from "./node_modules/aws-lambda-ric/dist/index.mjs";

await run(process.env.LAMBDA_TASK_ROOT ?? process.cwd(), process.env._HANDLER);
