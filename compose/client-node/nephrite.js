// A nephrite server as Node sees it. Requests and answers are the messages of the .proto files, as plain objects.
//
// Every method takes `{ signal, timeout }`: an AbortSignal that cancels the call, and seconds until it is given up.

import grpc from "@grpc/grpc-js";

import { loadContract } from "./contract.js";

export { caseRequest } from "./case.js";
export { failure } from "./failure.js";

const CHANNEL = {
  "grpc.keepalive_time_ms": 20_000, // notices a connection that died without a word
  "grpc.keepalive_timeout_ms": 20_000,
};

/** A server at `host:port`. It connects with the first call; `protos` is the folder of the contract. */
export function connect(address, { protos, credentials = grpc.credentials.createInsecure() } = {}) {
  return new Server(address.replace(/^http:\/\//, ""), loadContract(protos), credentials);
}

class Server {
  #cases;
  #models;
  #health;

  constructor(address, contract, credentials) {
    const { CaseService, ModelService } = contract.nephrite.v1;
    this.#cases = new CaseService(address, credentials, CHANNEL);
    this.#models = new ModelService(address, credentials, CHANNEL);
    this.#health = new contract.grpc.health.v1.Health(address, credentials, CHANNEL);
  }

  /** Runs a case: yields its events. Leaving the loop cancels it. */
  run(request, options) {
    return stream(this.#cases, "Run", request, options);
  }

  /** What a case would run, where, for how long, and what would come out. */
  estimate(request, options) {
    return unary(this.#cases, "Estimate", { request }, options);
  }

  /** The mask that a step of a finished case left, and its file; see mask.js. */
  getMask(output, step, options) {
    return unary(this.#cases, "GetMask", { output, step }, options);
  }

  /** Model folders below a folder, and models in memory. */
  models(root = "", options = {}) {
    return unary(this.#models, "List", { root }, options);
  }

  /** SERVING or NOT_SERVING; of the whole server if no service is named. */
  async health(service = "", options = {}) {
    return (await unary(this.#health, "Check", { service }, options)).status;
  }

  close() {
    for (const client of [this.#cases, this.#models, this.#health]) client.close();
  }
}

function deadline(timeout) {
  return timeout === undefined ? {} : { deadline: Date.now() + 1000 * timeout };
}

/** Cancels the call when the signal says so; gives the function that ends this. */
function cancelOn(signal, call) {
  const cancel = () => call.cancel();
  if (signal?.aborted) cancel();
  signal?.addEventListener("abort", cancel);
  return () => signal?.removeEventListener("abort", cancel);
}

function unary(client, method, request, { signal, timeout } = {}) {
  return new Promise((resolve, reject) => {
    const call = client[method](request, deadline(timeout), (error, answer) => {
      release();
      if (error) reject(error);
      else resolve(answer);
    });
    const release = cancelOn(signal, call);
  });
}

async function* stream(client, method, request, { signal, timeout } = {}) {
  const call = client[method](request, deadline(timeout));
  call.on("error", () => {}); // the loop throws it; nobody listens once the loop was left
  const release = cancelOn(signal, call);
  try {
    yield* call;
  } finally {
    release();
    call.cancel();
  }
}
