/**
 * What `make` makes within the call is for this account alone (mode 0600), and nobody gets in between the making and the mode. It must
 * wait for nothing: the mask is the whole process's.
 */
export function madePrivately<Made>(make: () => Made): Made {
  const before = process.umask(0o177);
  try {
    return make();
  } finally {
    process.umask(before);
  }
}
