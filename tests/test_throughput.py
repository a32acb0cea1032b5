"An epoch's pictures must come as fast as the model can train on them."
from data_scripts.experiments.bench import throughput


def test_pictures_come_as_fast_as_they_are_learnt(capsys):
    r = throughput(12, device='cpu')
    ratio, seconds = r['ratio']['one ready batch'], r['median']
    with capsys.disabled(): print(f"\n  input pipeline: {1 / seconds['real pictures']:.0f} pictures/s with real pictures, {1 / seconds['one ready batch']:.0f} with a ready batch; ratio {ratio:.3f} (median of 12 pairs)")
    assert ratio >= .9
