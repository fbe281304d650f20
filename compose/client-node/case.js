// The request of a case from the words of the command line.

export const PHASES = ["non_contrast", "arterial", "portal_venous", "delayed"];
export const PROFILES = ["full", "quick"];

/** A word as the contract has it: `arterial` is PHASE_ARTERIAL. What it lacks would silently become 0. */
function enumOf(prefix, words, word) {
  if (!words.includes(word)) throw new RangeError(`${word}: expected one of ${words.join(", ")}`);
  return `${prefix}_${word.toUpperCase()}`;
}

const phaseOf = (word) => enumOf("PHASE", PHASES, word);

/**
 * `scans` and `models` are lists of [phase, path]; the phase of a model may be left out (null). `pipeline` or `models`,
 * not both.
 */
export function caseRequest({ pipeline = "", models = [], scans = [], steps = [], profile = "full", output = "" }) {
  return {
    pipeline,
    models: models.map(([phase, model]) => (phase ? { model, phase: phaseOf(phase) } : { model })),
    scans: scans.map(([phase, path]) => ({ phase: phaseOf(phase), path })),
    steps,
    profile: enumOf("PROFILE", PROFILES, profile),
    output,
  };
}
