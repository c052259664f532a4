// Draws the curves that the page carries as data; every number of them is in the tables, too.
"use strict";
for (const place of document.querySelectorAll("[data-curves]")) {
  const curves = JSON.parse(place.dataset.curves);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const line = colour("--line"), text = colour("--quiet");
  // Told apart by colour and by dashes: red is for open alarms alone.
  const strokes = ["--green", "--blue", "--amber", "--text", "--violet", "--teal"].map(colour);
  const dashes = [[], [8, 4], [2, 4]];
  const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "13px sans-serif" };
  const one = curves.x.length === 1;
  const options = {
    width: place.clientWidth - 32,
    height: 300,
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: false, range: (u, low, high) => one ? [-1, 1] : [low, high] }, y: { range: (u, low, high) => [0, Math.max(1, high * 1.05)] } },
    axes: [
      { ...axis, incrs: [1, 2, 3, 7, 14, 30, 60], values: (u, splits) => splits.map((at) => label(at)) },
      { ...axis, size: 60, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000, 100000, 1000000] },
    ],
    series: [{ label: place.dataset.across, value: (u, at) => at == null ? "" : curves.x[at] }].concat(
      curves.names.map((name, number) => ({
        label: name,
        stroke: strokes[number % strokes.length],
        dash: dashes[Math.floor(number / strokes.length) % dashes.length],
        width: 2,
        points: { show: curves.x.length < 40, size: 6 },
        value: (u, value) => value == null ? "" : value.toLocaleString(),
      })),
    ),
  };
  const label = (at) => {
    const name = curves.x[at];
    return name === undefined ? "" : name.length === 2 ? `${name}:00` : name.slice(5);
  };
  const plot = new uPlot(options, [curves.x.map((_, number) => number), ...curves.values], place);
  addEventListener("resize", () => plot.setSize({ width: place.clientWidth - 32, height: 300 }));
}
