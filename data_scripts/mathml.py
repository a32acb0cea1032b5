"""The TeX of the lessons as MathML: the few commands they use, and a clear word where one is missing."""
import html, re

GREEK = 'alpha beta gamma delta epsilon eta theta lambda mu pi rho sigma tau phi omega Gamma Delta Theta Lambda Sigma Phi Omega'
SIGNS = dict(partial='∂', sum='∑', prod='∏', cdot='·', times='×', le='≤', leq='≤', ge='≥', geq='≥', approx='≈', ne='≠', pm='±',
             infty='∞', to='→', rightarrow='→', in_='∈', dots='…', ldots='…', odot='⊙', lVert='‖', rVert='‖')
NAMES = 'cos sin exp log ln max min arg'
SPACES = {',': '.17em', ';': '.28em', ' ': '.33em', 'quad': '1em', 'qquad': '2em', '!': '-.17em'}
SIZES = dict.fromkeys(('big', 'bigl', 'bigr'), '1.2em') | dict.fromkeys(('Big', 'Bigl', 'Bigr'), '1.8em')
TOKEN = re.compile(r'\s*(\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|[^\s])')


class _TeX:
    "A reader that goes through the tokens once; every method returns MathML."
    def __init__(self, tex): self.tex, self.tokens = tex, TOKEN.findall(tex.strip())

    def fail(self, what): raise ValueError(f'{what} in the formula {self.tex}: data_scripts/mathml.py cannot write it')

    def take(self):
        if not self.tokens: self.fail('something is missing')
        return self.tokens.pop(0)

    def peek(self): return self.tokens[0] if self.tokens else ''

    def row(self, end=''):
        "Everything up to `end`, with its indices."
        out = []
        while self.peek() != end:
            base, wide = self.one(), False
            if '∑' in base or '∏' in base: wide = True
            below = above = ''
            while self.peek() in ('_', '^'):
                if self.take() == '_': below = self.argument()
                else: above = self.argument()
            kind = ('under' if below else '') + ('over' if above else '') if wide else ('sub' if below else '') + ('sup' if above else '')
            out.append(f'<m{kind}>{base}{below}{above}</m{kind}>' if kind else base)
        if end: self.take()
        return '<mrow>' + ''.join(out) + '</mrow>' if len(out) != 1 else out[0]

    def fence(self, attrs):
        t = self.take()
        sign = {'\\|': '‖', '\\{': '{', '\\}': '}', '.': ''}.get(t, t)
        return f'<mo {attrs}>{_text(sign)}</mo>'

    def words(self):
        "A group read as plain text: `\\text{map}`."
        if self.take() != '{': self.fail('\\text without {')
        out = []
        while (t := self.take()) != '}': out.append(t)
        return f'<mtext>{_text("".join(out))}</mtext>'

    def argument(self):
        "A group, or one sign: TeX reads `\\tfrac12` as a half."
        if len(self.peek()) > 1 and self.peek()[0].isdigit(): self.tokens[:1] = self.peek()
        return self.one()

    def one(self):
        t = self.take()
        if t == '{': return self.row('}')
        if t[0] != '\\':
            if t[0].isdigit(): return f'<mn>{t}</mn>'
            if t.isalpha(): return f'<mi>{t}</mi>'
            if t in '_^}&': self.fail(t)
            return f'<mo>{_text("−" if t == "-" else t)}</mo>'
        name = t[1:]
        if name in ('frac', 'tfrac', 'dfrac'):
            style = {'tfrac': ' displaystyle="false"', 'dfrac': ' displaystyle="true"'}.get(name, '')
            return f'<mstyle{style}><mfrac>{self.argument()}{self.argument()}</mfrac></mstyle>'
        if name == 'sqrt': return f'<msqrt>{self.argument()}</msqrt>'
        if name in ('bar', 'hat'): return f'<mover accent="true">{self.argument()}<mo>{dict(bar="‾", hat="^")[name]}</mo></mover>'
        if name in ('text', 'mathrm'): return self.words()
        if name == 'left': return '<mrow>' + self.fence('fence="true" stretchy="true"') + self.row('\\right') + self.fence('fence="true" stretchy="true"') + '</mrow>'
        if name in SIZES: return self.fence(f'fence="true" stretchy="true" minsize="{SIZES[name]}" maxsize="{SIZES[name]}"')
        if name in SPACES: return f'<mspace width="{SPACES[name]}"></mspace>'
        if name in GREEK.split(): return f'<mi>{_text(html.unescape(f"&{name};"))}</mi>'
        if name in NAMES.split(): return f'<mi>{name}</mi><mspace width=".17em"></mspace>'
        if name + '_' in SIGNS or name in SIGNS: return f'<mo>{SIGNS.get(name) or SIGNS[name + "_"]}</mo>'
        if name == '|': return '<mo>‖</mo>'
        if name in '{}%&': return f'<mo>{_text(name)}</mo>'
        self.fail(t)


def _text(s): return re.sub(r'[^\w\s.,;:()+=−‖∂]', lambda m: f'&#{ord(m[0])};', s).replace('_', '&#95;')  # nothing that Markdown reads


def formula(tex, display=False):
    "One formula."
    return f'<math{" display=" + chr(34) + "block" + chr(34) if display else ""}>{_TeX(tex).row()}</math>'


# Code first, so that a dollar in it stays one. Dollars as Pandoc reads them: no space inside, no digit behind.
PIECES = re.compile(r'(?P<code>^(?P<f>`{3,}|~{3,}).*?^(?P=f)|(?P<t>`+)(?!`).*?(?<!`)(?P=t)(?!`))|\$\$(?P<block>.+?)\$\$|(?<![\\$])\$(?P<inline>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?!\d)',
                    re.S | re.M)


def mathml(markdown):
    "Markdown whose TeX has become MathML."
    def one(m): return m['code'] or (formula(m['block'], True) if m['block'] else formula(m['inline']))
    return PIECES.sub(one, markdown)
