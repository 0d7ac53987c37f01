/** An async function whose body is a generator: each `yield` was an `await`, and waits by `then`. */
export default (body) => function () {
  const steps = body.apply(this, arguments);
  return new Promise((resolve, reject) => {
    const go = (method, value) => {
      let step;
      try {
        step = steps[method](value);
      } catch (error) {
        return reject(error);
      }
      if (step.done) return resolve(step.value);
      Promise.resolve(step.value).then((value) => go("next", value), (error) => go("throw", error));
    };
    go("next");
  });
};
