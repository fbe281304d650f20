// What people read of answers and events.

/** STEP_STATE_RUNNING without its prefix: running. Numbers that this contract does not know stay. */
function word(prefix, value) {
  return String(value).replace(`${prefix}_`, "").toLowerCase();
}

/** How far a step is. */
export function progressLine({ step, state, stage, tiles_done, tiles_total, seconds_left, place, reason }) {
  const words = [`${step}: ${word("STEP_STATE", state)}`];
  if (tiles_total > 0) words.push(`${tiles_done} of ${tiles_total} tiles`);
  else if (stage !== undefined) words.push(word("STAGE", stage));
  if (seconds_left !== undefined) words.push(`${seconds_left.toFixed(1)} s left`);
  if (place) words.push(place.name ? `(at ${place.name}, ${place.address})` : "(in process)");
  if (reason) words.push(`(${reason})`);
  return words.join(" ");
}

/** One line per label. */
export function labelLines(labels) {
  return labels.map(({ id, name, status, voxels, volume_ml }) => {
    const columns = [String(id).padStart(5), name.padEnd(20), word("LABEL_STATUS", status).padEnd(12)];
    return [...columns, String(voxels).padStart(10), `${volume_ml.toFixed(1).padStart(10)} mL`].join(" ");
  });
}

/** Masks with their labels, then the files. */
export function resultLines({ output, masks, files, total_seconds }) {
  const tables = masks.flatMap(({ step, file, labels }) => [
    "",
    file ? `${output}/${file}` : step,
    ...labelLines(labels),
  ]);
  return [...tables, "", `${files.length} files in ${output}, ${total_seconds.toFixed(1)} s`];
}

/** A message as JSON; members that name a choice (`_stage`) are left out. */
export function json(message, indent) {
  return JSON.stringify(message, (key, value) => (key.startsWith("_") ? undefined : value), indent);
}
