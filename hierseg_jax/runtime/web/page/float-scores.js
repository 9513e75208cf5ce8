// onnxruntime-web 1.30.0 can't open a graph on WebGPU that casts to uint16, as `deploy` does at its
// very end. There the cast becomes one to float32, by two bytes of the file.

const [FLOAT32, UINT16] = [1, 4];
const text = (bytes, { start, end }) => new TextDecoder().decode(bytes.subarray(start, end));

/**
 * The file with its output `scores` as float32, to be cut off to whole numbers.
 * @param {Uint8Array} file an .onnx; stays as it is.
 */
export function withFloatScores(file) {
  const bytes = file.slice();
  const graph = one(bytes, { start: 0, end: bytes.length }, 7);
  for (const field of fields(bytes, graph)) {
    if (field.number === 1 && castsToScores(bytes, field)) {
      for (const attribute of fields(bytes, field)) {
        if (attribute.number === 5) replace(bytes, one(bytes, attribute, 3));
      }
    }
    if (field.number === 12 && text(bytes, one(bytes, field, 1)) === "scores") {
      replace(bytes, one(bytes, one(bytes, one(bytes, field, 2), 1), 1));
    }
  }
  return bytes;
}

function castsToScores(bytes, node) {
  const all = [...fields(bytes, node)];
  const has = (number, word) => all.some((it) => it.number === number && text(bytes, it) === word);
  return has(4, "Cast") && has(2, "scores");
}

function replace(bytes, field) {
  if (field && bytes[field.start] === UINT16) bytes[field.start] = FLOAT32;
}

function one(bytes, message, number) {
  for (const field of fields(bytes, message)) if (field.number === number) return field;
  return null;
}

/** Fields of a protobuf message: their numbers, and from where to where their values lie. */
function* fields(bytes, { start, end }) {
  let at = start;
  const varint = () => {
    let [value, scale, byte] = [0, 1, 128];
    for (; byte >= 128; scale *= 128) {
      byte = bytes[at++];
      value += (byte % 128) * scale;
    }
    return value;
  };
  while (at < end) {
    const key = varint();
    const [number, wire] = [Math.floor(key / 8), key % 8];
    let from = at;
    if (wire === 0) varint();
    else if (wire === 2) {
      const length = varint();
      from = at;
      at += length;
    } else at += wire === 1 ? 8 : 4;
    yield { number, start: from, end: at };
  }
}
