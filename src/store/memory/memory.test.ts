import { deviceStoreContract } from "#test/contract/device-store";
import { openMemoryStore } from "./index.ts";

deviceStoreContract("memory", openMemoryStore);
