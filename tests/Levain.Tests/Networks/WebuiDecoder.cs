using static TorchSharp.torch;

namespace Levain.Tests.Networks;

/// <summary>How the webui makes a weight's change of the tensors of one layer, at strength 1: an independent reading of our own files.</summary>
/// <remarks>AUTOMATIC1111 1.10.1, extensions-builtin/Lora; the order of the branches is the order in which it looks for kinds.</remarks>
internal static class WebuiDecoder
{
    /// <summary>ΔW in the shape of <paramref name="weight"/>; null where the webui finds no kind or stops on an exception.</summary>
    public static Tensor? Decode(IReadOnlyDictionary<string, Tensor> parts, Tensor weight)
    {
        Tensor part(string name) => parts[name].to_type(ScalarType.Float32);
        bool has(params string[] names) => names.All(parts.ContainsKey);
        double scale(long? rank) => has("scale") ? part("scale").item<float>() : has("alpha") && rank is { } r ? part("alpha").item<float>() / (double)r : 1;
        Tensor shaped(Tensor delta) => delta.reshape(weight.shape);

        if (has("lora_up.weight", "lora_down.weight"))
        {
            var (up, down) = (part("lora_up.weight").flatten(1), part("lora_down.weight"));
            var product = has("lora_mid.weight") ? einsum("nmkl,in,mj->ijkl", part("lora_mid.weight"), up, down.flatten(1)) : up.mm(down.flatten(1));
            return Decomposed(shaped(product).mul(scale(down.shape[0])));
        }
        if (has("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"))
        {
            Tensor side(int n) => has($"hada_t{n}") ? einsum("ijkl,jr,ip->prkl", part($"hada_t{n}"), part($"hada_w{n}_b"), part($"hada_w{n}_a")) : part($"hada_w{n}_a").mm(part($"hada_w{n}_b"));
            return Decomposed(shaped(side(1).mul(side(2))).mul(scale(parts["hada_w1_b"].shape[0])));
        }
        if (has("weight"))
        {
            if (weight.dim() != 2) return null;
            return has("on_input") && part("on_input").item<float>() != 0 ? weight.mul(part("weight")) : weight.mul(part("weight").unsqueeze(1));
        }
        if ((has("lokr_w1") || has("lokr_w1_a", "lokr_w1_b")) && (has("lokr_w2") || has("lokr_w2_a", "lokr_w2_b")))
        {
            var first = has("lokr_w1") ? part("lokr_w1") : part("lokr_w1_a").mm(part("lokr_w1_b"));
            var second = has("lokr_w2") ? part("lokr_w2") : has("lokr_t2") ? einsum("ijkl,jr,ip->prkl", part("lokr_t2"), part("lokr_w2_b"), part("lokr_w2_a")) : part("lokr_w2_a").mm(part("lokr_w2_b"));
            if (second.dim() == 4) first = first.unsqueeze(2).unsqueeze(2);
            long? rank = has("lokr_w2_b") ? parts["lokr_w2_b"].shape[0] : has("lokr_w1_b") ? parts["lokr_w1_b"].shape[0] : null;
            return Decomposed(shaped(kron(first, second.contiguous())).mul(scale(rank)));
        }
        if (has("diff")) return shaped(part("diff"));
        if (has("w_norm", "b_norm")) return part("w_norm");
        if (has("a1.weight", "a2.weight", "b1.weight", "b2.weight", "alpha")) return null;      // it knows the old layout only
        if (has("oft_blocks")) return Rotated();
        return null;

        // Per input channel, whatever the file's axis.
        Tensor Decomposed(Tensor delta)
        {
            if (!has("dora_scale")) return delta;
            var whole = weight.add(delta);
            var length = whole.transpose(0, 1).reshape(weight.shape[1], -1).norm(1, keepdim: true, p: 2).reshape([weight.shape[1], .. Enumerable.Repeat(1L, (int)weight.dim() - 1)]).transpose(0, 1);
            return whole.mul(part("dora_scale").div(length)).sub(weight);
        }

        Tensor Rotated()
        {
            var (blocks, outputs) = (part("oft_blocks"), weight.shape[0]);
            var q = blocks.sub(blocks.transpose(-1, -2));
            if (has("alpha") && part("alpha").item<float>() * outputs is var limit && limit != 0)
            {
                var size = q.norm().item<float>();
                q = q.mul((Math.Min(size, limit) + 1e-8) / (size + 1e-8));
            }
            var one = eye(q.shape[^1]);
            var r = one.add(q).matmul(linalg.inv(one.sub(q)));
            Tensor turned;
            if (blocks.dim() == 3) turned = r.transpose(1, 2).matmul(weight.reshape(blocks.shape[0], blocks.shape[1], -1)).reshape(weight.shape);
            else
            {
                var (size, rows) = (blocks.shape[2], weight.reshape(outputs, -1));
                for (var i = 0; i < blocks.shape[0]; i++)
                {
                    var half = size / 2 << i;
                    rows = rows.reshape(-1, 2, half, rows.shape[1]).transpose(1, 2).reshape(outputs, rows.shape[1]);
                    rows = r[i].matmul(rows.reshape(-1, size, rows.shape[1])).reshape(outputs, rows.shape[1]);
                    rows = rows.reshape(-1, half, 2, rows.shape[1]).transpose(1, 2).reshape(outputs, rows.shape[1]);
                }
                turned = rows.reshape(weight.shape);
            }
            return (has("rescale") ? turned.mul(part("rescale")) : turned).sub(weight);
        }
    }
}
