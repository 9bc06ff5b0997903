/** A Node process that does nothing: what any program in it costs at least. Ends with SIGTERM. */
setInterval(() => {}, 60_000);
process.stdout.write('ready\n');
