/**
 * Makes generated cases the same in each run: what decides whether a change may land must not turn red by itself. `npm run fuzz`
 * draws new ones each time; `FUZZ_SEED=7 npm test` draws others.
 */
import * as fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env["FUZZ_SEED"] ?? 1) });
