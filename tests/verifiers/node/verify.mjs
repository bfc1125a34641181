// Reads {secret, body (base64), signature} from standard input and prints what the library thinks of it.
import { verify } from "@octokit/webhooks-methods";

let text = "";
for await (const chunk of process.stdin) text += chunk;
const { secret, body, signature } = JSON.parse(text);
process.stdout.write(String(await verify(secret, Buffer.from(body, "base64").toString("utf8"), signature)));
