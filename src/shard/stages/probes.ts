/**
 * Probes of a model in rounds: the reference's logits first, by blocks of chunks, then groups of tensors that are degraded,
 * a group in a type on a block of chunks a unit. What is measured next follows from all that was measured before.
 */
import { writeFileAside } from "../../disk/aside-file.ts";
import { present } from "../../present.ts";
import { probesDocument } from "../../probes/probes-document.ts";
import { requireContent } from "../campaign.ts";
import type { ShardStage } from "../stage.ts";
import {
  campaignDesign,
  describeDone,
  nameOfProbe,
  nextUnits,
  PROBES_UNIT,
  PROBES_VALUE,
  probesOptions,
  referenceUnits,
} from "./probe-choice.ts";
import { unitCosts } from "./probe-costs.ts";
import { openProbeWorker } from "./probe-worker.ts";

export const probesStage: ShardStage = {
  id: "probes",
  method: 1,
  costPerSecond: 5e8,
  value: PROBES_VALUE,
  name: (of) => nameOfProbe(requireContent(PROBES_UNIT, of, "unit")),
  units: ({ source, campaign }) => referenceUnits(probesOptions(campaign), unitCosts(source)),
  async rounds(place) {
    const { source, campaign } = place;
    const design = await campaignDesign(place);
    const options = probesOptions(campaign);
    const costs = unitCosts(source);
    return (done) => nextUnits(design, options, costs, done);
  },
  open: async (place, bench) => openProbeWorker(place, await campaignDesign(place), bench),
  async merge(place, values, output) {
    const { campaign } = place;
    const design = await campaignDesign(place);
    const done = campaign.units.map(({ of }, index) => ({ of, value: values[index] }));
    const { devices } = probesOptions(campaign);
    const { gpuLayers } = campaign.how;
    const document = {
      ...probesDocument(design.analysis, describeDone(design, done)),
      devices,
      ...present({ gpuLayers: gpuLayers || undefined }),
    };
    await writeFileAside(output, `${JSON.stringify(document, null, 1)}\n`);
    return document;
  },
};
