// What all checks share: servers, requests, and what earlier checks found.

import { caseRequest, connect } from "../../nephrite.js";

/** Longer than anything here takes on a busy machine. */
export const PATIENCE = { timeout: 300 };

export class Scene {
  constructor(config, address) {
    this.config = config;
    this.address = address.replace(/^http:\/\//, "");
    this.server = connect(address);
  }

  /** The case that ends; what is not said is that of the file. */
  request(output, changes = {}) {
    const { pipeline, scans } = this.config;
    const words = { pipeline, scans: Object.entries(scans), output: this.output(output) };
    return { ...caseRequest(words), ...changes };
  }

  /** The case that goes on for long. */
  longRequest(output) {
    return this.request(output, { pipeline: this.config.long_pipeline });
  }

  output(name) {
    return `${this.config.output}-${name}`;
  }
}

/** All events of a run. */
export async function all(events) {
  const found = [];
  for await (const event of events) found.push(event);
  return found;
}
