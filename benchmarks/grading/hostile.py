"""Answers made to stall a grader: towers of powers, endless sums, integrals without a closed form, deep nesting."""

ANSWERS = (
    *("10^{10^{8}}", "9999999999!", "2^{2^{2^{2^{2^{2}}}}}", "3^{3^{3^{3}}}", "((10!)!)!",
      "10^{50000}+1", "(9!)^{9!}"),
    *(r"\sum_{k=1}^{10^{9}}\frac{1}{k^3+\sin k}", r"\prod_{k=1}^{10^7}\frac{k+1}{k}", r"\sum_{k=1}^{10^{12}}k^{-k}"),
    *(r"\int_0^1 \sin(\cos(\tan(x^x)))\,dx", r"\int x^{\sin x}\,dx", r"\int_0^{\infty}e^{-x^x}dx",
      r"\int\int\int xyz\,dx"),
    *(r"\lim_{x\to\infty}\frac{x^{x}}{x!}", r"\lim_{x\to 0}x^{x^{x^{x}}}", r"\frac{d}{dx}\left(x^{x^{x^{x}}}\right)"),
    *(r"\binom{10^9}{5\cdot10^8}", r"\binom{10^{10}}{5}", r"\sqrt[1000000]{2^{10^9}}",
      r"\sqrt{10^{10^7}}", "7^{7^{7^{7}}}"),
    *("(x+1)^{1000}", "(x+y+z)^{200}", "(x+y+z+w)^{999}", r"(\sqrt{2}+\sqrt{3}+\sqrt{5})^{500}", "(1+x+x^2)^{900}"),
    *(r"\sin(\sin(\sin(\sin(x))))^{10000}", r"\cos(10^{10^{6}})", r"e^{e^{e^{e^{e}}}}",
      r"\tan(\tan(\tan(\tan(9^{9^{9}}))))"),
    *(r"\left(\left(x+y\right)^{100}+1\right)^{100}", "(" * 59 + "x" + ")" * 59, "x^" * 300 + "x", "-" * 1000 + "1"),
    *(",".join(rf"x^{{{n}}}" for n in range(44)), "+".join(f"x_{{{n}}}" for n in range(200)),
      r"\frac{1}{" * 50 + "x" + "}" * 50),
    *(r"\sqrt{" * 55 + "2" + "}" * 55, "|" * 500 + "x",
      r"\begin{pmatrix}" + "&".join("x" * 200) + r"\end{pmatrix}", "1e400000"),
    *(r"x=" * 500 + "5", "<".join("x" * 500), "5" + "!" * 50, r"\overline{" * 40 + "5" + "}" * 40, "0." + "9" * 1500),
)  # fmt: skip
