// Where a picture comes to lie in the network's input: the rules of the metadata's `resizing`.
// Boxes are {top, left, height, width} of whole pixels; sizes are [height, width].

/**
 * Which part of a picture the network sees, and where in its input.
 * @param {number} stride of an input whose sides may be any multiples of it, whose bars are cut
 *   off; 0 of one of that size.
 * @returns {{picture, size, seen, filled}} `seen` of the picture, `filled` of the input.
 */
export function place(picture, size, rule, stride = 0) {
  const whole = ([height, width]) => ({ top: 0, left: 0, height, width });
  const seen = rule === "crop" ? centred(size, picture) : whole(picture);
  const filled = rule === "letterbox" ? centred(picture, size) : whole(size);
  if (!stride) return { picture, size, seen, filled };
  const { height, width } = filled;
  const least = [height, width].map((side) => Math.ceil(side / stride) * stride);
  const [top, left] = [(least[0] - height) >> 1, (least[1] - width) >> 1];
  return { picture, size: least, seen, filled: { top, left, height, width } };
}

/** The largest centred part of a size that has (nearly) the aspect ratio of `shape`. */
function centred(shape, within) {
  const scale = Math.min(within[0] / shape[0], within[1] / shape[1]);
  const [height, width] = shape.map((side, axis) =>
    Math.min(within[axis], Math.max(1, halfToEven(side * scale))),
  );
  const [top, left] = [(within[0] - height) >> 1, (within[1] - width) >> 1];
  return { top, left, height, width };
}

/** A number rounded to a whole one, a half to the even one. */
export function halfToEven(number) {
  const down = Math.floor(number);
  const rest = number - down;
  return rest > 0.5 || (rest === 0.5 && down % 2) ? down + 1 : down;
}
