/** An idle Node process: the lower bound of any program in Node. It ends on SIGTERM. */
setInterval(() => {}, 60_000);
process.stdout.write('ready\n');
