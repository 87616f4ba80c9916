// The engine in the audio thread.
import { Engine } from "./engine.js";

registerProcessor("practice", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.engine = new Engine((event) => this.port.postMessage(event));
    this.port.onmessage = (event) => this.engine.take(event.data);
  }

  process(inputs, [[left, right]]) {
    this.engine.process(left, right);
    return true;
  }
});
