// What went wrong with a call, in words to act on.

import grpc from "@grpc/grpc-js";

const ENTRY = "nephrite-error-code";

/** Whether an error is the status of a call, and not a mistake of this program. */
function isStatus(error) {
  return Number.isInteger(error?.code) && error.metadata instanceof grpc.Metadata;
}

/**
 * The status of a call: `code` is gRPC's, `nephriteCode` the server's, or null if another made the status. `retry`: the
 * same request may succeed later. Other errors are thrown again.
 */
export function failure(error) {
  if (!isStatus(error)) throw error;
  const code = grpc.status[error.code] ?? "UNKNOWN";
  const nephriteCode = error.metadata.get(ENTRY)[0] ?? null;
  return { code, nephriteCode, message: error.details.trim(), retry: isPassing(code, nephriteCode) };
}

function isPassing(code, nephriteCode) {
  return nephriteCode === null ? code === "UNAVAILABLE" : ["overloaded", "unavailable"].includes(nephriteCode);
}
