// node command.ts ada@web1 'uname -a': runs a command as ssh would, with the keys and settings that ssh would use.
import { connect, resolveDestination } from "postern";

const [destination = "", command = "uname -a"] = process.argv.slice(2);

await using connection = await connect(await resolveDestination(destination));
await using session = await connection.session({ command });
session.stderr.pipe(process.stderr);
session.stream.end();
for await (const chunk of session.stream) process.stdout.write(chunk as Uint8Array);

const exit = await session.exit;
process.exitCode = exit !== undefined && "status" in exit ? exit.status : 255;
