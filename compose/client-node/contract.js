// The services and messages of the .proto files, without generated code.

import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";

const FILES = ["nephrite/v1/case.proto", "nephrite/v1/model.proto", "grpc/health/v1/health.proto"];

/** NEPHRITE_PROTO, or the folder of this repository. */
function defaultFolder() {
  return process.env.NEPHRITE_PROTO || fileURLToPath(new URL("../../proto", import.meta.url));
}

/** Packages `nephrite.v1` and `grpc.health.v1`, from the folder that holds `nephrite/` and `grpc/`. */
export function loadContract(folder = defaultFolder()) {
  const options = {
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
    includeDirs: [folder],
  };
  return grpc.loadPackageDefinition(loader.loadSync(FILES, options));
}
