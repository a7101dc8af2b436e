// Draws the charts of the dashboard: numbers from the page, colours from the look.
"use strict";

const HEIGHT = 220;
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const TIME = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZone: "UTC",
});

/** Return each series on top of the ones before it. */
function stacked(series) {
  const sums = series[0].map(() => 0);
  return series.map((values) => values.map((value, i) => (sums[i] += value)));
}

/** Read the colours as the page shows them now: tokens differ in light and dark. */
function coloursOf(figure) {
  const swatches = [...figure.querySelectorAll(".swatch")];
  return {
    series: swatches.map((swatch) => getComputedStyle(swatch).backgroundColor),
    ink: getComputedStyle(figure.querySelector(".plot")).color,
    line: getComputedStyle(figure).borderTopColor,
    surface: getComputedStyle(figure).backgroundColor,
  };
}

/** Let the estimates of each kind stand with their intervals, until the next one of the kind. */
function drawMarks(plot, colours) {
  const [times, ...series] = plot.data;
  for (let first = 0; first < series.length; first += 3) {
    const kind = series.slice(first, first + 3);
    const points = times.map((time, i) => [time, ...kind.map((values) => values[i])])
      .filter((point) => point[1] !== null);
    drawKind(plot, points, colours.series[first]);
  }
}

function drawKind(plot, points, colour) {
  const { ctx } = plot;
  const ratio = devicePixelRatio;
  const x = (time) => plot.valToPos(time, "x", true);
  const y = (value) => plot.valToPos(value, "y", true);
  ctx.save();
  ctx.strokeStyle = colour;
  ctx.fillStyle = colour;
  points.forEach(([time, estimate, low, high], i) => {
    const end = x(i + 1 < points.length ? points[i + 1][0] : plot.scales.x.max);
    const bars = [[x(time), y(estimate), end, y(estimate), 2]];
    if (low !== null && high !== null) {
      bars.push([x(time), y(low), x(time), y(high), 1.5]);
      for (const value of [low, high]) {
        bars.push([x(time) - 4 * ratio, y(value), x(time) + 4 * ratio, y(value), 1.5]);
      }
    }
    for (const [fromX, fromY, toX, toY, width] of bars) {
      ctx.lineWidth = width * ratio;
      ctx.beginPath();
      ctx.moveTo(fromX, fromY);
      ctx.lineTo(toX, toY);
      ctx.stroke();
    }
    ctx.beginPath();
    ctx.arc(x(time), y(estimate), 4 * ratio, 0, 2 * Math.PI);
    ctx.fill();
  });
  ctx.restore();
}

function rangeOfY(kind) {
  if (kind !== "marks") {
    return (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1];
  }
  return (_plot, low, high) => {
    const room = Math.max((high - low) * 0.1, 1);
    return [Math.max(0, low - room), Math.min(100, high + room)];
  };
}

function rangeOfX(data) {
  const half = data.isDaily ? 43200 : 0;
  const first = data.times[0] - half;
  const last = Math.max(data.until, data.times[data.times.length - 1] + half);
  return [first, last > first ? last : first + 3600];
}

function seriesOf(kind, index, colours) {
  const colour = () => colours.series[index];
  const spline = { stroke: colour, width: 2, spanGaps: true, points: { show: false } };
  if (kind === "bars") {
    const paths = uPlot.paths.bars({ size: [0.8, 28], align: 0 });
    return { paths, fill: colour, stroke: () => colours.surface, width: 1, points: { show: false } };
  }
  if (kind === "steps") {
    return { ...spline, paths: uPlot.paths.stepped({ align: 1 }) };
  }
  // One measurement alone makes no line.
  return kind === "lines" ? { ...spline, points: { size: 5, fill: colour } } : { paths: () => null, points: { show: false } };
}

function axesOf(data, colours) {
  const stroke = () => colours.ink;
  const shared = { stroke, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif" };
  const grid = { stroke: () => colours.line, width: 1 };
  const isShort = data.times[data.times.length - 1] - data.times[0] < 2 * 86400;
  return [
    {
      ...shared,
      grid: { show: false },
      ticks: grid,
      space: isShort && !data.isDaily ? 110 : 60,
      incrs: data.isDaily ? [1, 2, 3, 7, 14].map((days) => days * 86400) : undefined,
      values: (_plot, ticks) => {
        const write = !data.isDaily && isShort ? TIME : DAY;
        const texts = ticks.map((tick) => write.format(tick * 1000));
        return texts.map((text, i) => (text === texts[i - 1] ? "" : text));
      },
    },
    { ...shared, grid, ticks: { show: false }, label: data.axis, labelSize: 20, size: 52 },
  ];
}

/** Show the values at the cursor in the legend; without one the last. */
function tell(figure, data, index) {
  const isAway = index === null || index === undefined;
  figure.querySelectorAll("[data-now]").forEach((place, i) => {
    place.textContent = isAway ? place.dataset.now : data.texts[i][index] || "–";
  });
  const write = data.isDaily ? DAY : TIME;
  figure.querySelector(".when").textContent = isAway
    ? "" : write.format(data.times[index] * 1000) + (data.isDaily ? "" : " UTC");
}

function draw(figure) {
  const data = JSON.parse(figure.querySelector("script").textContent);
  const place = figure.querySelector(".plot");
  const colours = coloursOf(figure);
  const isStack = data.kind === "bars";
  const drawn = isStack ? stacked(data.series) : data.series;
  // The highest stack first: each next one stands in front of it.
  const order = drawn.map((_, i) => i);
  if (isStack) {
    order.reverse();
  }
  const options = {
    width: place.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    tzDate: (time) => uPlot.tzDate(new Date(time * 1000), "Etc/UTC"),
    cursor: { y: false, points: { show: data.kind === "lines" || data.kind === "steps" }, drag: { x: false, y: false } },
    scales: { x: { range: rangeOfX(data) }, y: { range: rangeOfY(data.kind) } },
    series: [{}, ...order.map((i) => seriesOf(data.kind, i, colours))],
    axes: axesOf(data, colours),
    hooks: {
      setCursor: [(plot) => tell(figure, data, plot.cursor.left < 0 ? null : plot.cursor.idx)],
      draw: data.kind === "marks" ? [(plot) => drawMarks(plot, colours)] : [],
    },
  };
  const plot = new uPlot(options, [data.times, ...order.map((i) => drawn[i])], place);
  plot.root.setAttribute("aria-hidden", "true"); // the legend and the table say it in words
  return {
    fit: () => plot.setSize({ width: place.clientWidth, height: HEIGHT }),
    recolour: () => {
      Object.assign(colours, coloursOf(figure));
      plot.redraw(false, true);
    },
  };
}

const drawings = [...document.querySelectorAll(".chart")]
  .filter((figure) => figure.querySelector(".plot"))
  .map(draw);
const recolour = () => drawings.forEach((drawing) => drawing.recolour());
new MutationObserver(recolour).observe(document.documentElement, {
  attributes: true, attributeFilter: ["data-theme"],
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
const charts = document.querySelector(".charts");
if (charts) {
  new ResizeObserver(() => drawings.forEach((drawing) => drawing.fit())).observe(charts);
}
