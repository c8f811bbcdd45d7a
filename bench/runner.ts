import type { BenchCase } from "./case.ts";
import type { Figure, Metric, Ratio, Sample, Size } from "./schema.ts";
import type { Stage } from "./stage.ts";
import { median, paired } from "./statistics.ts";

/**
 * Measures one case: each round every subject once, each round beginning with another one, so that what the machine does besides
 * hits all alike. A subject that fails is told and left out.
 */
export async function runCase(
  bench: BenchCase,
  stage: Stage,
  size: Size,
  present: (subject: string) => boolean,
  tell: (line: string) => void,
): Promise<Figure[]> {
  const subjects = bench.subjects.filter(present);
  const samples = new Map<string, Sample[]>(subjects.map((subject) => [subject, []]));
  const rounds = Math.min(size.rounds, bench.maxRounds ?? size.rounds);
  for (let round = 0; round < rounds; round++) {
    for (let n = 0; n < subjects.length; n++) {
      const subject = subjects[(n + round) % subjects.length] ?? "";
      const found = samples.get(subject);
      if (found === undefined) continue;
      tell(`${bench.name}: round ${round + 1} of ${rounds}, ${subject}`);
      try {
        found.push(await bench.measure(stage, subject, size));
      } catch (error) {
        samples.delete(subject);
        console.error(`${bench.name}, ${subject}: left out: ${String(error).slice(0, 2000)}`);
      }
    }
  }
  return figuresOf(bench.name, samples);
}

function figuresOf(name: string, samples: ReadonlyMap<string, readonly Sample[]>): Figure[] {
  const figures: Figure[] = [];
  for (const [subject, rounds] of samples) {
    const names = new Set(rounds.flatMap((sample) => Object.keys(sample) as Metric[]));
    for (const metric of names) {
      const values = valuesOf(rounds, metric);
      figures.push({
        case: name,
        subject,
        metric,
        samples: values,
        median: median(values),
        low: Math.min(...values),
        high: Math.max(...values),
        ratios: ratiosOf(metric, values, subject, samples),
      });
    }
  }
  return figures;
}

function valuesOf(rounds: readonly Sample[], metric: Metric): number[] {
  return rounds.flatMap((sample) => {
    const value = sample[metric];
    return value === undefined ? [] : [value];
  });
}

/** What the middle costs is held against what the ends of the direct way cost, as there is no middle there. */
const againstEnds: Partial<Record<Metric, Metric>> = {
  proxyCpuSecondsPerGb: "endsCpuSecondsPerGb",
  proxyCpuMsPerLogin: "endsCpuMsPerLogin",
};

function ratiosOf(
  metric: Metric,
  values: readonly number[],
  subject: string,
  samples: ReadonlyMap<string, readonly Sample[]>,
): Ratio[] {
  const ratios: Ratio[] = [];
  for (const [other, rounds] of samples) {
    if (other === subject) continue;
    for (const against of new Set([metric, ...(other === "direct" ? [againstEnds[metric] ?? metric] : [])])) {
      const found = paired(values, valuesOf(rounds, against));
      if (found.length > 0) ratios.push({ subject: other, metric: against, median: median(found) });
    }
  }
  return ratios;
}
