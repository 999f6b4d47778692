// Draws each chart from its table, which the page shows if scripts are off.
"use strict";

const HOUR = 3600;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const length = (seconds) => {
  if (seconds === null || seconds === undefined) return "–";
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${+(seconds / size).toFixed(1)} ${unit}`;
  }
  return `${seconds} s`;
};

const short = (value) => Intl.NumberFormat("en", { notation: "compact" }).format(value);

const read = (figure) => {
  const rows = [...figure.querySelectorAll("tbody tr")];
  const names = [...figure.querySelectorAll("th.number")].map((head) => head.textContent);
  const days = rows.map((row) => Date.parse(row.querySelector("[data-day]").dataset.day) / 1000);
  const columns = names.map((_, place) => rows.map((row) => {
    const text = row.querySelectorAll("td.number")[place].dataset.value;
    return text === undefined ? undefined : text === "" ? null : Number(text);
  }));
  return { days, series: names.map((name, place) => ({ name, values: columns[place] })).filter((line) => line.values[0] !== undefined) };
};

const options = (figure, kind, data, width) => {
  // There are thousands of queries for each hit, so each series has an axis of its own.
  const scale = (place) => (kind === "lines" && place ? "y2" : "y");
  const strokes = [colour("--chart-1"), colour("--chart-2")];
  const format = kind === "times" ? length : (value) => (value === null ? "–" : String(value));
  const axis = { stroke: colour("--ink-soft"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
  const largest = Math.max(1, ...data.series.flatMap((line) => line.values.map((value) => value ?? 0)));
  return {
    width, height: 220, tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    cursor: { points: { size: 7 }, drag: { x: false, y: false } },
    legend: { live: true },
    scales: kind === "times" ? { y: { distr: 3, range: [60, Math.max(2 * HOUR, largest * 1.5)] } }
      // Half a day on each side: the first and the last bar are whole.
      : Object.fromEntries([...(kind === "bars" ? [["x", { range: (_, first, last) => [first - 43200, last + 43200] }]] : []), ...data.series.map((line, place) => [scale(place), { range: [0, 1.1 * Math.max(1, ...(kind === "lines" ? line.values : [largest]))] }])]),
    axes: [
      { ...axis, size: 34, values: (_, splits) => splits.map((at) => new Date(at * 1000).toISOString().slice(5, 10)), space: 60 },
      kind === "times"
        ? { ...axis, size: 56, splits: () => [60, 600, HOUR, 6 * HOUR, 86400, 604800], filter: (_, splits) => splits, values: (_, splits) => splits.map(length) }
        : { ...axis, size: 64, values: (_, splits) => splits.map(short) },
      ...(kind === "lines" ? [{ ...axis, scale: "y2", side: 1, size: 56, grid: { show: false }, stroke: strokes[1], values: (_, splits) => splits.map(short) }] : []),
    ],
    series: [
      { label: "day", value: (_, at) => (at === null ? "–" : new Date(at * 1000).toISOString().slice(0, 10)) },
      ...data.series.map((line, place) => ({
        label: line.name, scale: scale(place), stroke: strokes[place], width: 2, value: (_, value) => format(value), points: { show: data.days.length < 2 },
        ...(kind === "bars" && place === 0 ? { fill: `${strokes[0]}40`, width: 1, paths: uPlot.paths.bars({ size: [0.7, 24] }) } : {}),
      })),
    ],
    hooks: {
      // If the pointer is outside the chart, the legend shows the last day.
      setCursor: [(chart) => { if (chart.cursor.idx === null || chart.cursor.idx === undefined) chart.setLegend({ idx: data.days.length - 1 }, false); }],
      draw: kind !== "times" ? [] : [(chart) => {
        const y = chart.valToPos(HOUR, "y", true);
        const { ctx, bbox } = chart;
        ctx.save(); ctx.strokeStyle = colour("--late"); ctx.lineWidth = devicePixelRatio; ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
        ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke(); ctx.restore();
      }],
    },
  };
};

const charts = new Map();
const figures = [...document.querySelectorAll("[data-chart]")];
// Read only once, before drawing: a drawn chart contains another table, its legend.
const tables = new Map(figures.map((figure) => [figure, read(figure)]));
const draw = (figure) => {
  const data = tables.get(figure);
  const plot = figure.querySelector(".plot");
  if (!data.days.length) return;
  charts.get(figure)?.destroy();
  const chart = new uPlot(options(figure, figure.dataset.chart, data, plot.clientWidth), [data.days, ...data.series.map((line) => line.values)], plot);
  chart.setLegend({ idx: data.days.length - 1 }, false);
  charts.set(figure, chart);
  plot.setAttribute("aria-hidden", "true");
};
figures.forEach(draw);

const widths = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const chart = charts.get(target.closest("[data-chart]"));
    if (chart && Math.abs(chart.width - target.clientWidth) > 1) chart.setSize({ width: target.clientWidth, height: 220 });
  }
});
figures.forEach((figure) => widths.observe(figure.querySelector(".plot")));
new MutationObserver(() => figures.forEach(draw)).observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });
