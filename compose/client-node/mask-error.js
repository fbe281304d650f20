/** A message that is no mask. */
export class MaskError extends Error {
  name = "MaskError";
}
