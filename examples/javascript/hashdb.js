// Match, contribute and follow from Node. Set HASHDB_URL and HASHDB_KEY (scopes contribute, match and feed).
//   npm install && npm run generate   (generates the types of requests and responses from the service's OpenAPI document)
//   node hashdb.js match PICTURE | contribute PICTURE LABEL | follow
// To use a sidecar, set HASHDB_URL=http://127.0.0.1:8765 or unix:/run/hashdb-sidecar/sidecar.sock, and no key.
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

/** The body of a successful response. Throws an error with the service's explanation for any other response.
 * @template T
 * @param {{ data?: T, error?: { detail?: string }, response: Response }} result */
function bodyOf({ data, error, response }) {
  if (data === undefined) throw new Error(`${response.status}: ${error?.detail ?? "the response is not from hashdb"}`);
  return data;
}

/** The hashes of a picture, which the service computes. It does not store the picture. @param {string} path */
async function hash(path) {
  const form = new FormData();
  form.append("file", await openAsBlob(path), "picture");
  const body = /** @type {any} */ (form);
  const hashed = bodyOf(await hashdb.POST("/v1/signals", { body, bodySerializer: () => form }));
  // For a video, the service returns only hashes of the file: a re-encoded copy would not match.
  if (!("pictures" in hashed) || hashed.pictures[0].duration != null) {
    throw new Error("this is a video: send it to /v1/matches/media or /v1/contributions/media");
  }
  return hashed.pictures[0];
}

/** @param {string} path */
async function match(path) {
  const { signals } = await hash(path);
  const { results } = bodyOf(await hashdb.POST("/v1/matches", { body: { queries: [{ signals }] } }));
  // A match is advice to review: a person must decide before you remove content.
  for (const { contribution, labels } of results[0].matches) console.log(`contribution ${contribution}: ${labels}`);
  console.log(results[0].action);
}

/** @param {string} path @param {string} label */
async function contribute(path, label) {
  const { signals, quality } = await hash(path);
  const removed_at = new Date().toISOString();
  const body = { contributions: [{ signals, quality, labels: [label], removed_at }] };
  const { contributions } = bodyOf(await hashdb.POST("/v1/contributions", { body }));
  console.log(`contribution ${contributions[0].id}`);
}

async function follow() {
  /** @type {{ after: number, epoch?: string }} */
  let position = { after: 0 };
  for (;;) {
    try {
      const result = await hashdb.GET("/v1/changes", { params: { query: { ...position, wait: 20 } } });
      if (result.response.status === 410) {
        position = { after: 0 }; // The service has another log, for example after a restore: start over.
        continue;
      }
      const page = bodyOf(result);
      if (typeof page === "string") throw new Error("hashdb sent an event stream instead of JSON");
      const { changes, checkpoint, epoch } = page;
      for (const { seq, contribution, gone, reason } of changes) {
        console.log(contribution ? `${seq}: contribution ${contribution.id}` : `${seq}: ${gone} is gone (${reason})`);
      }
      position = { after: checkpoint, epoch };
    } catch (error) {
      console.error(`${error}: retrying in 5 seconds`);
      await sleep(5000);
    }
  }
}

const [command, path, label] = argv.slice(2);
try {
  if (command === "match" && path) await match(path);
  else if (command === "contribute" && path && label) await contribute(path, label);
  else if (command === "follow") await follow();
  else throw new Error("usage: match PICTURE | contribute PICTURE LABEL | follow");
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
}
