// PostGraphile over one schema, in as many processes as the gateway has; nothing beside its defaults for production.
import cluster from "node:cluster";
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { PostGraphileConnectionFilterPreset } from "postgraphile-plugin-connection-filter";

const { SOCKETS, DATABASE, ROLE, SCHEMA, PORT, WORKERS, CONNECTIONS } = process.env;

const preset = {
  extends: [PostGraphileAmberPreset, PostGraphileConnectionFilterPreset],
  pgServices: [
    makePgService({
      schemas: [SCHEMA],
      poolConfig: { host: SOCKETS, database: DATABASE, user: ROLE, max: Number(CONNECTIONS) },
    }),
  ],
  grafserv: { graphiql: false, watch: false },
  grafast: { explain: false },
};

if (cluster.isPrimary) {
  for (let worker = 0; worker < Number(WORKERS); worker++) cluster.fork();
  // A process that ends takes the rest with it: half a contender is none.
  cluster.on("exit", () => process.exit(1));
} else {
  const server = createServer();
  await postgraphile(preset).createServ(grafserv).addTo(server);
  server.listen(Number(PORT), "127.0.0.1");
}
