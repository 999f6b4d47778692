// Match, contribute and follow from Node. Set HASHDB_URL and HASHDB_KEY (scopes contribute, match and feed).
//   npm install && npm run generate   (the types of every request and answer, from the document of the service)
//   node hashdb.js match PICTURE | contribute PICTURE LABEL | follow
// To ask a sidecar: HASHDB_URL=http://127.0.0.1:8765 or unix:/run/hashdb-sidecar/sidecar.sock, without a key.
import { openAsBlob } from "node:fs";
import process, { argv, env } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

import createClient from "openapi-fetch";
import { Agent } from "undici";

const url = env.HASHDB_URL ?? "http://127.0.0.1:8000";
const socketPath = url.startsWith("unix:") ? url.slice("unix:".length) : undefined;
const dispatcher = new Agent(socketPath ? { connect: { socketPath } } : {});

/** @type {import("openapi-fetch").Client<import("./api.d.ts").paths>} */
const hashdb = createClient({
  baseUrl: socketPath ? "http://hashdb" : url,
  headers: env.HASHDB_KEY ? { Authorization: `Bearer ${env.HASHDB_KEY}` } : {},
  fetch: (request) => fetch(request, /** @type {RequestInit} */ ({ dispatcher, signal: AbortSignal.timeout(60_000) })),
});

/** The answer; an error with the service's own sentence if there is none.
 * @template T
 * @param {{ data?: T, error?: { detail?: string }, response: Response }} answer */
function need({ data, error, response }) {
  if (data === undefined) throw new Error(`${response.status}: ${error?.detail ?? "no answer of hashdb"}`);
  return data;
}

/** The hashes of a picture. The service computes them and stores nothing. @param {string} path */
async function hash(path) {
  const form = new FormData();
  form.append("file", await openAsBlob(path), "picture");
  const body = /** @type {any} */ (form);
  const hashed = need(await hashdb.POST("/v1/signals", { body, bodySerializer: () => form }));
  // Of a video, these hashes are only those of its file: another encoding of it would not match.
  if (!("pictures" in hashed) || hashed.pictures[0].duration != null) {
    throw new Error("this is a video: send it to /v1/matches/media or /v1/contributions/media");
  }
  return hashed.pictures[0];
}

/** @param {string} path */
async function match(path) {
  const { signals } = await hash(path);
  const { results } = need(await hashdb.POST("/v1/matches", { body: { queries: [{ signals }] } }));
  // A match is advice to review: a person decides before anything is removed.
  for (const { contribution, labels } of results[0].matches) console.log(`contribution ${contribution}: ${labels}`);
  console.log(results[0].action);
}

/** @param {string} path @param {string} label */
async function contribute(path, label) {
  const { signals, quality } = await hash(path);
  const removed_at = new Date().toISOString();
  const body = { contributions: [{ signals, quality, labels: [label], removed_at }] };
  const { contributions } = need(await hashdb.POST("/v1/contributions", { body }));
  console.log(`contribution ${contributions[0].id}`);
}

async function follow() {
  /** @type {{ after: number, epoch?: string }} */
  let place = { after: 0 };
  for (;;) {
    try {
      const answer = await hashdb.GET("/v1/changes", { params: { query: { ...place, wait: 20 } } });
      if (answer.response.status === 410) {
        place = { after: 0 }; // The service has another log, for example after a restore: start over.
        continue;
      }
      const page = need(answer);
      if (typeof page === "string") throw new Error("this is a stream, which was not asked for");
      const { changes, checkpoint, epoch } = page;
      for (const { seq, contribution, gone, reason } of changes) {
        console.log(contribution ? `${seq}: contribution ${contribution.id}` : `${seq}: ${gone} is gone (${reason})`);
      }
      place = { after: checkpoint, epoch };
    } catch (error) {
      console.error(`${error}: again in 5 seconds`);
      await sleep(5000);
    }
  }
}

const [command, path, label] = argv.slice(2);
try {
  if (command === "match" && path) await match(path);
  else if (command === "contribute" && path && label) await contribute(path, label);
  else if (command === "follow") await follow();
  else throw new Error("match PICTURE | contribute PICTURE LABEL | follow");
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}
